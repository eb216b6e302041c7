"""Temporary AWS credentials for one prefix of an S3 bucket, as a federated user of the configured keys.

Source: AWS STS, GetFederationToken; Amazon S3, policies for users.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tcbox import clock as clocks
from tcbox import errors

LIFETIME = 3600
"""Seconds for which the credentials are good."""

SESSION = "TemporaryS3ReadWriteCredentials"
"""The name of the federated user, as policies and logs of AWS show it."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A key of AWS, and the buckets that it can give access to.

    Attributes:
        endpoint: the URL of the STS service; None for that of AWS.
    """

    access_key_id: str
    secret_access_key: str
    buckets: tuple[str, ...]
    endpoint: str | None = None
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Given:
    """Credentials; `expires` in ms since the epoch."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires: int


class S3Credentials:
    """Gives credentials for the configured buckets."""

    def __init__(self, allowed: Iterable[Bucket] = ()) -> None:
        self._by_bucket: dict[str, Bucket] = {}
        for key in allowed:
            for bucket in key.buckets:
                self._by_bucket.setdefault(bucket, key)

    async def give(self, bucket: str, prefix: str, *, write: bool) -> Given:
        """Credentials for what is below a prefix.

        Raises ResourceNotFound for a bucket that is not configured, InputError for a prefix that begins with a slash,
        InternalServerError when AWS refuses.
        """
        key = self._by_bucket.get(bucket)
        if key is None:
            raise errors.ResourceNotFound(
                "There are no credentials for the bucket {bucket}: its administrator can add it to services.auth.aws_s3 in tcbox.yml.", bucket=bucket
            )
        if prefix.startswith("/"):
            raise errors.InputError("The prefix {prefix} begins with a slash, and must not: leave the slash out.", prefix=prefix)
        return await asyncio.to_thread(_federate, key, json.dumps(policy(bucket, prefix, write=write)))


def policy(bucket: str, prefix: str, *, write: bool) -> dict[str, Any]:
    """What the credentials allow: objects below the prefix, listing them, and finding the bucket's region."""
    actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] if write else ["s3:GetObject"]
    arn = f"arn:aws:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "ReadWriteObjectsUnderPrefix", "Effect": "Allow", "Action": actions, "Resource": [f"{arn}/{prefix}*"]},
            {
                "Sid": "ListObjectsUnderPrefix",
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [arn],
                "Condition": {"StringLike": {"s3:prefix": [f"{prefix}*"]}},
            },
            {"Sid": "GetBucketLocation", "Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": [arn]},
        ],
    }


@functools.lru_cache(maxsize=64)
def _sts(key: Bucket) -> Any:
    try:
        import boto3
    except ImportError:
        raise errors.InternalServerError("Credentials for AWS need the package boto3: install tcbox[aws].") from None
    return boto3.session.Session().client(
        "sts", aws_access_key_id=key.access_key_id, aws_secret_access_key=key.secret_access_key, endpoint_url=key.endpoint, region_name=key.region
    )


def _federate(key: Bucket, allowed: str) -> Given:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        made = _sts(key).get_federation_token(Name=SESSION, Policy=allowed, DurationSeconds=LIFETIME)["Credentials"]
    except (BotoCoreError, ClientError) as error:
        raise errors.InternalServerError("AWS gave no credentials: {reason}", reason=str(error)) from error
    expires = clocks.from_wire(made["Expiration"].isoformat())
    return Given(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], expires)
