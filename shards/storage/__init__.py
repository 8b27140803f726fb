"""Storage under the contract: local folders and object stores, tar files, the lock of a DIR."""
