"""What every picture of a synthetic world is painted on and with: the canvas, regions, spectra, light."""
