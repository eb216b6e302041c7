module tcbox.example/s3

go 1.26

tool github.com/versity/versitygw/cmd/versitygw

require github.com/versity/versitygw v1.8.0
