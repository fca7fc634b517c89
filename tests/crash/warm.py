def names():
    return [
        "mlflow.tracking",
        "dbos",
        "psycopg",
        "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.store.model_registry.sqlalchemy_store",
        "cedarpy",
        "scipy.stats",
    ]
