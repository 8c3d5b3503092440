"""Vigil's settings: one file, read from the environment and `.env`; every name is explained in `.env.example`."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import django_stubs_ext
from kombu import Exchange, Queue

from vigil import environment
from vigil.console.theme import UNFOLD as UNFOLD  # the console's look and navigation, in its own file
from vigil.environment import commands, flag, names, table, text, whole

BASE_DIR = Path(__file__).resolve().parent.parent
django_stubs_ext.monkeypatch()
environment.env.read_env(environment.env_file("VIGIL_ENV_FILE", default=BASE_DIR / ".env"))

# --- where things are ----------------------------------------------------------------------------------------------

VIGIL_DATA_DIR = environment.data_dir("VIGIL_DATA_DIR", base=BASE_DIR)
VIGIL_DEMO = flag("VIGIL_DEMO")
DEBUG = flag("VIGIL_DEBUG")
SECRET_KEY = environment.secret_key(VIGIL_DATA_DIR)
SECRET_KEY_FALLBACKS = names("SECRET_KEY_FALLBACKS")
DATABASES = {"default": environment.database(text("DATABASE_URL"), sqlite_path=VIGIL_DATA_DIR / "vigil.sqlite3")}
VIGIL_REDIS_URL = environment.redis_url(
    "REDIS_URL", default=f"unix://{quote(str(VIGIL_DATA_DIR / 'run' / 'valkey.sock'))}?db=0"
)

# --- Django --------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "vigil.console",
    "unfold.apps.BasicAppConfig",  # the plain "unfold" would put a site of its own in place of the console
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "vigil.console.apps.ConsoleAdminConfig",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "axes",
    "django_celery_beat",
    "django_prometheus",
    "vigil",
    "vigil.telemetry",
    "vigil.audit",
    "vigil.access",
    "vigil.periodic",
    "vigil.health",
    "metrics",
    "actions",
    "policies",
    "simulator",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "vigil.http.middleware.RequestStory",
    "vigil.http.middleware.PlainErrors",
    "django.middleware.security.SecurityMiddleware",
    "vigil.http.middleware.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "vigil.urls"
WSGI_APPLICATION = "vigil.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ATOMIC_REQUESTS = False
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = ["vigil.console.formats"]
APPEND_SLASH = False
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

# --- who may come in ------------------------------------------------------------------------------------------------

VIGIL_HTTPS = flag("VIGIL_HTTPS")
ALLOWED_HOSTS = names("ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = environment.origins("CSRF_TRUSTED_ORIGINS")
CORS_ALLOWED_ORIGINS = environment.origins("CORS_ORIGINS")
CORS_URLS_REGEX = r"^/api/.*$"
SECURE_SSL_REDIRECT = VIGIL_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if VIGIL_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = VIGIL_HTTPS
SECURE_HSTS_PRELOAD = VIGIL_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if flag("VIGIL_BEHIND_PROXY") else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = VIGIL_HTTPS
SESSION_COOKIE_AGE = 28_800
CSRF_COOKIE_SECURE = VIGIL_HTTPS
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "vigil.http.address.client"
SILENCED_SYSTEM_CHECKS = ["axes.W003"]
VIGIL_PROXIES = whole("VIGIL_PROXIES", default=0, most=10)
VIGIL_METRICS_ALLOW = environment.networks("VIGIL_METRICS_ALLOW", default="127.0.0.0/8,::1/128")
VIGIL_REQUESTS_PER_MINUTE = whole("VIGIL_REQUESTS_PER_MINUTE", default=3_000, least=1)
VIGIL_INGEST_REQUESTS_PER_MINUTE = whole("VIGIL_INGEST_REQUESTS_PER_MINUTE", default=600_000, least=1)

# --- the API --------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "vigil.access.authentication.ApiKeyAuthentication",
        "vigil.access.authentication.ConsoleSession",
        "vigil.access.authentication.DemoLoopback",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["vigil.access.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["vigil.http.throttling.PerCaller"],
    "DEFAULT_PARSER_CLASSES": ["vigil.http.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "vigil.http.schema.VigilSchema",
    "EXCEPTION_HANDLER": "vigil.http.exceptions.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "NUM_PROXIES": VIGIL_PROXIES,
    "URL_FORMAT_OVERRIDE": None,
    "STRICT_JSON": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Vigil",
    "DESCRIPTION": "Sense, decide, act, and prove that it healed.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["vigil.access.permissions.SignedIn"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["vigil.http.schema.canonical_paths"],
    "POSTPROCESSING_HOOKS": ["vigil.http.schema.whole", "vigil.health.document.with_probes"],
    "COMPONENT_SPLIT_REQUEST": True,
}
VIGIL_BODY_MAX_BYTES = whole("VIGIL_BODY_MAX_BYTES", default=1_048_576, least=1024)
VIGIL_UNPACKED_MAX_BYTES = whole("VIGIL_UNPACKED_MAX_BYTES", default=4_194_304, least=1024)
VIGIL_BATCH_MAX = whole("VIGIL_BATCH_MAX", default=5_000, least=1)

# --- sense ----------------------------------------------------------------------------------------------------------

VIGIL_TARGET_TAGS = names("VIGIL_TARGET_TAGS", default="target,service,deployment,pod,host,hostname,instance")
VIGIL_RETENTION_DAYS = whole("VIGIL_RETENTION_DAYS", default=14, least=1)
VIGIL_ROLLUP_1M_DAYS = whole("VIGIL_ROLLUP_1M_DAYS", default=max(30, VIGIL_RETENTION_DAYS), least=VIGIL_RETENTION_DAYS)
VIGIL_ROLLUP_5M_DAYS = whole("VIGIL_ROLLUP_5M_DAYS", default=max(90, VIGIL_ROLLUP_1M_DAYS), least=VIGIL_ROLLUP_1M_DAYS)
VIGIL_ROLLUP_1H_DAYS = whole("VIGIL_ROLLUP_1H_DAYS", default=max(400, VIGIL_ROLLUP_5M_DAYS), least=VIGIL_ROLLUP_5M_DAYS)
VIGIL_FUTURE_TOLERANCE_SECONDS = whole("VIGIL_FUTURE_TOLERANCE_SECONDS", default=60)
VIGIL_CARDINALITY_MAX = whole("VIGIL_CARDINALITY_MAX", default=100_000, least=1)
VIGIL_NEW_SERIES_PER_KEY = whole("VIGIL_NEW_SERIES_PER_KEY", default=20_000)

# --- decide ---------------------------------------------------------------------------------------------------------

VIGIL_SWEEP_INTERVAL_SECONDS = whole("VIGIL_SWEEP_INTERVAL_SECONDS", default=15, least=1)
VIGIL_SWEEP_SHARD_TARGETS = whole("VIGIL_SWEEP_SHARD_TARGETS", default=5_000, least=1)
VIGIL_STALENESS_SECONDS = whole("VIGIL_STALENESS_SECONDS", default=300, least=1)
VIGIL_PROMETHEUS = environment.addresses("VIGIL_PROMETHEUS")
VIGIL_GRACE_SECONDS = whole(
    "VIGIL_GRACE_SECONDS", default=2 if VIGIL_DEMO else max(2 * VIGIL_SWEEP_INTERVAL_SECONDS, 120)
)
VIGIL_SETTLE_SECONDS = whole("VIGIL_SETTLE_SECONDS", default=2 if VIGIL_DEMO else 10)
VIGIL_RELAPSE_SECONDS = whole("VIGIL_RELAPSE_SECONDS", default=600)
VIGIL_COMMON_CAUSE_PERCENT = whole("VIGIL_COMMON_CAUSE_PERCENT", default=30, least=1, most=100)
VIGIL_COMMON_CAUSE_SECONDS = whole("VIGIL_COMMON_CAUSE_SECONDS", default=60, least=1)
VIGIL_FLAP_HIGH_PERCENT = whole("VIGIL_FLAP_HIGH_PERCENT", default=50, least=2, most=101)
VIGIL_FLAP_LOW_PERCENT = whole(
    "VIGIL_FLAP_LOW_PERCENT", default=min(25, VIGIL_FLAP_HIGH_PERCENT - 1), least=1, most=VIGIL_FLAP_HIGH_PERCENT - 1
)
VIGIL_DEMOTE_OF = whole("VIGIL_DEMOTE_OF", default=5, least=1, most=100)
VIGIL_DEMOTE_BAD = whole("VIGIL_DEMOTE_BAD", default=min(3, VIGIL_DEMOTE_OF), least=0, most=VIGIL_DEMOTE_OF)
VIGIL_OSCILLATION_EFFECTS = whole("VIGIL_OSCILLATION_EFFECTS", default=4, least=0, most=50)
VIGIL_OSCILLATION_SECONDS = whole("VIGIL_OSCILLATION_SECONDS", default=1800, least=1)
VIGIL_FREEZE_SECONDS = whole("VIGIL_FREEZE_SECONDS", default=3600, least=1)

# --- act ------------------------------------------------------------------------------------------------------------

REMEDIATOR_URL = text("REMEDIATOR_URL")
REMEDIATOR_SECRET = text("REMEDIATOR_SECRET")
VIGIL_SECRETS_KEYS = names("VIGIL_SECRETS_KEYS")
VIGIL_COMMANDS = commands("VIGIL_COMMANDS")
VIGIL_REMEDIATORS = table("VIGIL_REMEDIATORS")
VIGIL_PAUSE_FILE = Path(text("VIGIL_PAUSE_FILE", default=str(VIGIL_DATA_DIR / "VIGIL_PAUSE")))
VIGIL_GLOBAL_CONCURRENCY = whole("VIGIL_GLOBAL_CONCURRENCY", default=10, least=1)
VIGIL_DEFAULT_COOLDOWN_SECONDS = whole("VIGIL_DEFAULT_COOLDOWN_SECONDS", default=20 if VIGIL_DEMO else 300)
VIGIL_APPROVAL_SECONDS = whole("VIGIL_APPROVAL_SECONDS", default=1_800, least=60, most=604_800)
VIGIL_SECOND_PAIR_OF_EYES = flag("VIGIL_SECOND_PAIR_OF_EYES", default=True)
VIGIL_PROTECTED_TARGETS = names("VIGIL_PROTECTED_TARGETS")
VIGIL_GLOBAL_RATE_COUNT = whole("VIGIL_GLOBAL_RATE_COUNT", default=60, least=1)
VIGIL_GLOBAL_RATE_SECONDS = whole("VIGIL_GLOBAL_RATE_SECONDS", default=600, least=1)
VIGIL_FLEET_AT_ONCE_PERCENT = whole("VIGIL_FLEET_AT_ONCE_PERCENT", default=10, least=1, most=100)
VIGIL_BLAST_RADIUS_PERCENT = whole("VIGIL_BLAST_RADIUS_PERCENT", default=30, least=1, most=100)
VIGIL_BLAST_RADIUS_SECONDS = whole("VIGIL_BLAST_RADIUS_SECONDS", default=600, least=1)
VIGIL_MIN_HEALTHY_PERCENT = whole("VIGIL_MIN_HEALTHY_PERCENT", default=51, most=100)
VIGIL_BREAKER_FAILURES = whole("VIGIL_BREAKER_FAILURES", default=5, least=1)
VIGIL_BREAKER_REST_SECONDS = whole("VIGIL_BREAKER_REST_SECONDS", default=30, least=1)
VIGIL_POLICY_BREAKER_REST_SECONDS = whole("VIGIL_POLICY_BREAKER_REST_SECONDS", default=600, least=1)
VIGIL_STORM_PROPOSALS = whole("VIGIL_STORM_PROPOSALS", default=20, least=1)
VIGIL_STORM_SECONDS = whole("VIGIL_STORM_SECONDS", default=60, least=1)
VIGIL_QUARANTINE_REPAIRS = whole("VIGIL_QUARANTINE_REPAIRS", default=1_000 if VIGIL_DEMO else 3, least=2)
VIGIL_QUARANTINE_REPAIRS_SECONDS = whole("VIGIL_QUARANTINE_REPAIRS_SECONDS", default=3_600, least=1)
VIGIL_QUARANTINE_RELAPSES = whole("VIGIL_QUARANTINE_RELAPSES", default=1_000 if VIGIL_DEMO else 2, least=1)
VIGIL_QUARANTINE_SECONDS = whole("VIGIL_QUARANTINE_SECONDS", default=86_400, least=1)
VIGIL_REPORT_SECONDS = whole("VIGIL_REPORT_SECONDS", default=60, least=1)
VIGIL_LEAST_SAMPLES = whole("VIGIL_LEAST_SAMPLES", default=2, least=1)
VIGIL_BLIND_PERCENT = whole("VIGIL_BLIND_PERCENT", default=30, least=1, most=101)
ACTION_GATE = "policies.remedies.still_wanted"
ACTION_EVIDENCE = "policies.evidence.about"
ACTION_EDITORS = "policies.evidence.editors"
VIGIL_WATCHDOG_SECONDS = whole("VIGIL_WATCHDOG_SECONDS", default=60, most=3_600)
VIGIL_ROLE = text("VIGIL_ROLE", default="command")
"""What this process is: web, worker, chores, beat, dispatcher or command; `manage.py up` says so to each."""

# --- rehearse -------------------------------------------------------------------------------------------------------

VIGIL_URL = text("VIGIL_URL")
VIGIL_SIMULATOR_ENABLED = flag("VIGIL_SIMULATOR_ENABLED", default=VIGIL_DEMO)

# --- Celery: Redis holds hints, nothing that matters. Why each value is what it is: docs/decisions/0003 --------------

CELERY_BROKER_URL = environment.celery_broker(VIGIL_REDIS_URL)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_TASK_SOFT_TIME_LIMIT = 20
CELERY_TASK_TIME_LIMIT = 24
CELERY_WORKER_MAX_TASKS_PER_CHILD = 100_000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 300_000
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 3,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": False,
    "max_connections": 20,
    "client_name": "vigil",
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_DEFAULT_QUEUE = "vigil.chores"
CELERY_TASK_QUEUES = tuple(Queue(name, Exchange(name), routing_key=name) for name in ("vigil.actions", "vigil.chores"))
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = {"actions.run_action": {"queue": "vigil.actions"}}
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 22.0
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 15.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_DB_REUSE_MAX = 1_000
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- see ------------------------------------------------------------------------------------------------------------

PROMETHEUS_EXPORT_MIGRATIONS = False
VIGIL_METRICS_PORT = whole("VIGIL_METRICS_PORT", default=0, most=65_535)
VIGIL_LOG_LEVEL = environment.choice(
    "VIGIL_LOG_LEVEL", default="INFO", among=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
)
LOGGING_CONFIG = "vigil.telemetry.logs.configure"
LOGGING = {"level": VIGIL_LOG_LEVEL}
