"""``python -m cryptml``."""

from cryptml.cli.main import run

if __name__ == "__main__":
    run()
