"""Station 6, on live users: shadow and screen before it, the plan, the looks, what they say."""
