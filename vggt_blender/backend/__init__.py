"""The backend as a process: set it up, start it, read it, cancel it. Standard library and exchange only."""
