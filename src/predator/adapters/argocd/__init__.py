"""Argo CD as the hand that brings git's state to a cluster."""
