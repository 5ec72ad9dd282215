"""The scheduling shell: facts in by translate, decisions by the engine, orders out by requests and dispatch."""
