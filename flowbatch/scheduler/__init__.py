"""The shell of the engine: facts in (translate), orders out (requests), and the loop between."""
