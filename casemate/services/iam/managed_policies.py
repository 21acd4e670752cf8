"""AWS managed policies, by ARN, written to grant what AWS documents of them."""

from __future__ import annotations

from collections.abc import Mapping

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"

AWS_MANAGED: Mapping[str, str] = {
    ADMINISTRATOR_ACCESS: (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    ),
}
