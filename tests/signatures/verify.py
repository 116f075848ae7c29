"""Verifies requests as a receiver written in Python does.

Standard input: [{"secret": …, "headers": {…}, "body": base64}, …]; standard output: for each what the
package read from it, or null where it refused. The package raises ValueError for headers that no sender of
Standard Webhooks writes.
"""

import base64
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verified(case):
    try:
        return Webhook(case["secret"]).verify(base64.b64decode(case["body"]), case["headers"])
    except (WebhookVerificationError, ValueError):
        return None


json.dump([verified(case) for case in json.load(sys.stdin)], sys.stdout)
