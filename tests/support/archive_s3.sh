# archive_s3.sh - asking an S3 service behind the program's back, with curl. `source` it after
# archive_lib.sh. S3_ENDPOINT, S3_KEY and S3_SECRET say where and who.
#
# SPDX-License-Identifier: MIT
EMPTY_SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# The secret goes in by standard input: arguments can be read by everyone on the machine.
s3() { # path?query, curl options…
    local where=$1
    shift
    printf 'user = "%s:%s"\n' "$S3_KEY" "$S3_SECRET" |
        curl -sS -K - --noproxy '*' --max-time 60 --aws-sigv4 aws:amz:us-east-1:s3 \
            -H "x-amz-content-sha256: $EMPTY_SHA256" "$@" "$S3_ENDPOINT/$where"
}

s3_make_bucket() { [ "$(s3 "$1" -X PUT -o "$T/answer" -w '%{http_code}')" = 200 ]; }

# How many uploads somebody has begun and neither finished nor given up.
s3_open_uploads() { s3 "$1?uploads=" | grep -o '<UploadId>' | wc -l; }

s3_header() { # bucket/key[?query] name
    s3 "$1" -I | tr -d '\r' | awk -F': ' -v name="$2" 'tolower($1) == name { print $2 }'
}
