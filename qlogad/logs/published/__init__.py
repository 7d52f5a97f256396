"""Published log data sets: a file each says where one lies; downloaded over HTTP, verified and unpacked."""
