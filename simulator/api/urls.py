from django.urls import re_path

from simulator.api import views

urlpatterns = [
    re_path(r"^(?:ui/)?simulator/start/?$", views.Start.as_view(), name="simulator-start"),
    re_path(r"^(?:ui/)?simulator/stop/?$", views.Stop.as_view(), name="simulator-stop"),
    re_path(r"^(?:ui/)?simulator/status/?$", views.Status.as_view(), name="simulator-status"),
]
