module tcbox.example/client

go 1.26

require github.com/taskcluster/taskcluster/v106 v106.0.0
