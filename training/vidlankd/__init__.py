"""VidLanKD (NeurIPS 2021): a video-language teacher, distilled into a language model that reads text alone."""
