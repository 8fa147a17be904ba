"""What gunicorn serves: `api.wsgi:application`, configured by the environment."""

from api.application import create
from moderation import logs
from moderation import settings as configuration

_settings = configuration.load()
logs.configure(_settings.log_format, _settings.log_level, process="api")
application = create(_settings)
