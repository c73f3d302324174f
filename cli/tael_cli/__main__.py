"""python -m tael_cli."""

from tael_cli.main import app

if __name__ == "__main__":
    app()
