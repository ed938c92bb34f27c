"""What every part of the service reads: settings, problems, time, the networks that are served."""
