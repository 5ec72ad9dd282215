"""List and watch into a typed store; knows no scheduling."""
