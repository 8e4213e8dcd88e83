#!/bin/bash
# The objects contract against a real S3 service: a private Ceph gateway, started and stopped here.
# Speaks TAP: the contract suite's own lines. Where Ceph cannot start, one skipped test says why.
# BUILD is the folder of the test binaries.
set -u
cd "$(dirname "$0")/../.." || exit 1
suite=${BUILD:-build}/tests/contract/objects_test
bucket=pathstats-contract
empty_sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
root=$(mktemp -d -t pathstats-ceph-XXXXXX) || exit 1
trap 'tests/support/ceph.sh down "$root"; rm -rf "$root"' EXIT
trap 'exit 1' HUP INT TERM

if [ ! -x "$suite" ]; then
    printf '1..1\nnot ok 1 - s3 contract: %s is not built\n' "$suite"
    exit 1
fi
if ! reason=$(tests/support/ceph.sh up "$root" 2>&1); then
    printf '1..1\nok 1 - s3 contract # SKIP %s\n' "$(tail -n 1 <<<"$reason")"
    exit 0
fi
# shellcheck disable=SC1091
. "$root/env"

# The secret goes in by standard input: arguments can be read by everyone on the machine.
made=$(printf 'user = "%s:%s"\n' "$S3_KEY" "$S3_SECRET" |
    curl -sS -K - --noproxy '*' --max-time 60 -o "$root/answer" -w '%{http_code}' -X PUT \
        --aws-sigv4 aws:amz:us-east-1:s3 -H "x-amz-content-sha256: $empty_sha256" "$S3_ENDPOINT/$bucket")
if [ "$made" != 200 ]; then
    printf '1..1\nnot ok 1 - s3 contract: making the bucket was answered with %s\n' "$made"
    exit 1
fi

export CMOCKA_MESSAGE_OUTPUT=TAP PS_TEST_S3_ONLY=1 PS_TEST_S3_BUCKET=$bucket
export PS_TEST_S3_ENDPOINT=$S3_ENDPOINT PS_TEST_S3_KEY=$S3_KEY PS_TEST_S3_SECRET=$S3_SECRET
export PS_TEST_S3_NAMED_ENDPOINT=${S3_ENDPOINT/127.0.0.1/localhost} NO_PROXY='*'
timeout 300 "$suite"
