"""One file, one command, one artefact. Stages meet only through the run folder."""
