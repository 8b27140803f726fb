"""The models of VidLanKD and their losses."""
