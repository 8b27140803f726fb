"""The clip tree: choose where a video is cut, choose its keyframes, and cut its root clips out by copying."""
