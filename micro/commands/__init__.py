"""The commands of `keras-kd`, each importing what it needs when it runs, so that help answers at once."""
