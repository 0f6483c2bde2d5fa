"""`python -m commlayer`, the same as `commlayer`: how `run all` starts its children."""

from commlayer.cli import main

if __name__ == "__main__":
    main(prog_name="commlayer")
