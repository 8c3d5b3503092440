from django.urls import re_path

from vigil.audit.api import views

urlpatterns = [re_path(r"^audit/?$", views.AuditView.as_view(), name="audit")]
