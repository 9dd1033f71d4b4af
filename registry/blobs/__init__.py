"""Objects: keys to bytes, in a folder or in a bucket of any S3 server."""
