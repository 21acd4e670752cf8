"""Subscriptions by e-mail, with a real mail server: confirmed, delivered, ended by links, tried again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from issuer_support import Certificate
from mailbox_support import PASSWORD, USER, Mailbox, Mailed, mail_server
from sns_support import let, topic
from sqs_support import Sqs, arn_of, refused, sqs_server

URL = "https://casemate.example.com"
TO = "reader@example.com"


class Mailing(NamedTuple):
    aws: Sqs
    mailbox: Mailbox

    def answer(self, link: str) -> tuple[int, str]:
        """What a link in a mail answers, the server's name being another one here."""
        assert link.startswith(f"{URL}/?")
        try:
            with urlopen(self.aws.server.endpoint + link.removeprefix(URL)) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def follow(self, link: str) -> str:
        status, body = self.answer(link)
        assert status == 200, body
        return body

    def topic(self, **attributes: str) -> str:
        return topic(self.aws, **attributes)

    def subscribe(self, arn: str, protocol: str = "email", **attributes: str) -> Mailed:
        """The mail that asks for confirmation."""
        asked = self.aws.of(service="sns").subscribe(
            TopicArn=arn, Protocol=protocol, Endpoint=TO, Attributes=attributes
        )
        assert asked["SubscriptionArn"] == "pending confirmation"
        return self.mailbox.next()

    def subscriptions(self, arn: str) -> list[str]:
        found = self.aws.of(service="sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
        return [each["SubscriptionArn"] for each in found]

    def publish(self, arn: str, message: str, **more: Any) -> None:
        self.aws.of(service="sns").publish(TopicArn=arn, Message=message, **more)


@pytest.fixture(scope="module")
def mailing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailing]:
    folder = tmp_path_factory.mktemp("mail")
    certificate = Certificate(folder)
    password = folder / "password"
    password.write_text(f"{PASSWORD}\n")
    password.chmod(0o600)
    with mail_server(certificate) as mailbox:
        settings = {
            "host": "localhost",
            "port": mailbox.port,
            "sender": "no-reply@casemate.example.com",
            "url": f"{URL}/",
            "user": USER,
            "password_file": str(password),
            "authorities": str(certificate.file),
        }
        with sqs_server(folder, {"CASEMATE_SMTP": json.dumps(settings)}) as aws:
            yield Mailing(aws, mailbox)


def test_a_reader_confirms_reads_and_unsubscribes(mailing: Mailing) -> None:
    arn = mailing.topic(DisplayName="Orders, and more")
    asked = mailing.subscribe(arn)
    assert (asked.sender, asked.to, asked.encrypted) == ("no-reply@casemate.example.com", [TO], True)
    assert asked.message["From"] == '"Orders, and more" <no-reply@casemate.example.com>'
    assert asked.message["To"] == TO
    assert asked.message["Subject"] == "AWS Notification - Subscription Confirmation"
    assert arn in asked.text
    mailing.publish(arn, "to nobody yet")
    assert mailing.subscriptions(arn) == ["PendingConfirmation"]
    assert f"<SubscriptionArn>{arn}:" in mailing.follow(asked.link)
    (subscription,) = mailing.subscriptions(arn)

    mailing.publish(arn, "an order\nof äpples", Subject="About an order")
    got = mailing.mailbox.next()
    assert got.message["Subject"] == "About an order"
    assert got.text.startswith("an order\nof äpples\n\n--\n")
    mailing.publish(arn, json.dumps({"default": "x", "email": "for mails"}), MessageStructure="json")
    again = mailing.mailbox.next()
    assert again.message["Subject"] == "AWS Notification Message"
    assert again.text.startswith("for mails\n")
    assert got.message["Message-ID"] != again.message["Message-ID"]

    mailing.follow(got.link)
    assert mailing.subscriptions(arn) == []
    ended = mailing.mailbox.next()
    assert ended.message["Subject"] == "AWS Notification - Unsubscribe Confirmation"
    mailing.publish(arn, "to nobody any more")
    assert mailing.answer(got.link)[0] == 403
    # By the last mail's link all is as it was.
    mailing.follow(ended.link)
    assert mailing.subscriptions(arn) == [subscription]
    mailing.publish(arn, "back")
    assert mailing.mailbox.next().text.startswith("back\n")


def test_json_by_mail(mailing: Mailing) -> None:
    arn = mailing.topic()
    asked = json.loads(mailing.subscribe(arn, "email-json").text)
    assert asked["Type"] == "SubscriptionConfirmation"
    mailing.follow(asked["SubscribeURL"])
    mailing.publish(arn, "hello", Subject="about")
    got = mailing.mailbox.next()
    document = json.loads(got.text)
    assert (got.message["Subject"], document["Subject"], document["Message"]) == ("about", "about", "hello")
    assert got.message["From"] == "AWS Notifications <no-reply@casemate.example.com>"
    assert document["SigningCertURL"].startswith(URL)
    mailing.follow(document["UnsubscribeURL"])
    assert json.loads(mailing.mailbox.next().text)["Type"] == "UnsubscribeConfirmation"


def test_links_that_somebody_made_up_end_nothing(mailing: Mailing) -> None:
    arn = mailing.topic()
    mailing.follow(mailing.subscribe(arn).link)
    (subscription,) = mailing.subscriptions(arn)
    mailing.publish(arn, "hello")
    link = mailing.mailbox.next().link
    other = mailing.topic()
    mailing.follow(mailing.subscribe(other).link)
    (theirs,) = mailing.subscriptions(other)
    for forged in (
        f"{URL}/?Action=Unsubscribe&SubscriptionArn={subscription}&Version=2010-03-31",
        f"{URL}/?Action=Unsubscribe&SubscriptionArn={subscription}&Token=AAAA&Version=2010-03-31",
        link.replace(subscription.replace(":", "%3A"), theirs.replace(":", "%3A")),
        link[:-30] + link[-30:].replace("&Version", "x&Version"),
    ):
        status, body = mailing.answer(forged)
        assert status == 403
        assert "<Code>AuthorizationError</Code>" in body
    assert mailing.subscriptions(arn) == [subscription]
    assert mailing.subscriptions(other) == [theirs]


def test_whoever_confirms_by_a_signature_may_keep_the_link_from_ending_it(mailing: Mailing) -> None:
    arn, client = mailing.topic(), mailing.aws.of(service="sns")
    asked = json.loads(mailing.subscribe(arn, "email-json").text)
    client.confirm_subscription(TopicArn=arn, Token=asked["Token"], AuthenticateOnUnsubscribe="true")
    mailing.publish(arn, "hello")
    link = json.loads(mailing.mailbox.next().text)["UnsubscribeURL"]
    assert mailing.answer(link)[0] == 403
    (subscription,) = mailing.subscriptions(arn)
    client.unsubscribe(SubscriptionArn=subscription)
    assert mailing.subscriptions(arn) == []


def test_mails_are_tried_again_and_then_are_dead_letters(mailing: Mailing) -> None:
    arn, dead = mailing.topic(), mailing.aws.queue()
    let(mailing.aws, dead, arn)
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn_of(dead)})}
    mailing.follow(mailing.subscribe(arn, **redrive).link)
    mailing.mailbox.answers = ["451 later"]
    mailing.publish(arn, "later")
    assert mailing.mailbox.refused.get(timeout=30) == "451 later"
    mailing.aws.advance("10s")
    assert mailing.mailbox.next().text.startswith("later\n")
    mailing.mailbox.answers = ["554 never"]
    mailing.publish(arn, "never")
    (body,) = mailing.aws.bodies(dead, WaitTimeSeconds=20)
    assert body.startswith("never\n")


def test_what_is_not_confirmed_lapses(mailing: Mailing) -> None:
    arn = mailing.topic()
    link = mailing.subscribe(arn).link
    mailing.aws.advance("3d1s")
    assert mailing.answer(link)[0] == 400
    assert mailing.subscriptions(arn) == []
    # One that was not confirmed in time may be asked for anew.
    mailing.follow(mailing.subscribe(arn).link)
    assert len(mailing.subscriptions(arn)) == 1


def test_nobody_is_asked_more_than_once_a_minute(mailing: Mailing) -> None:
    arn = mailing.topic()
    first = mailing.subscribe(arn)
    for _ in range(3):
        mailing.aws.of(service="sns").subscribe(TopicArn=arn, Protocol="email", Endpoint=TO)
    other = mailing.topic()
    # Of the mails that come, the next one is another subscription's.
    assert other in mailing.subscribe(other).text
    mailing.aws.advance("61s")
    again = mailing.subscribe(arn)
    assert arn in again.text
    assert again.link != first.link
    mailing.follow(first.link)
    assert len(mailing.subscriptions(arn)) == 1


def test_links_are_of_their_topics_region(mailing: Mailing) -> None:
    client = mailing.aws.server.client("sns", region="eu-west-1")
    arn = client.create_topic(Name=mailing.aws.name("topic"))["TopicArn"]
    client.subscribe(TopicArn=arn, Protocol="email", Endpoint=TO)
    assert arn in mailing.follow(mailing.mailbox.next().link)
    client.publish(TopicArn=arn, Message="x")
    mailing.follow(mailing.mailbox.next().link)
    assert mailing.mailbox.next().message["Subject"] == "AWS Notification - Unsubscribe Confirmation"


@pytest.mark.parametrize(
    "address",
    [
        *("", "reader", "@example.com", "a b@example.com", "a@example.com, b@example.com", "<a@example.com>"),
        *("a@b\nBcc: c@example.com", "a@example..com", "ä@example.com", "a" * 250 + "@b.de", "a@[127.0.0.1]"),
    ],
)
def test_addresses_that_are_none(mailing: Mailing, address: str) -> None:
    with refused("InvalidParameter", "Invalid parameter: Email address"):
        mailing.aws.of(service="sns").subscribe(TopicArn=mailing.topic(), Protocol="email", Endpoint=address)


def test_what_mails_cannot_be(mailing: Mailing) -> None:
    client, arn = mailing.aws.of(service="sns"), mailing.topic()
    with refused("InvalidParameter"):
        client.subscribe(
            TopicArn=arn, Protocol="email", Endpoint=TO, Attributes={"RawMessageDelivery": "true"}
        )
    with refused("InvalidParameter"):
        client.subscribe(TopicArn=mailing.topic(FifoTopic="true"), Protocol="email", Endpoint=TO)
    # What would be a header of its own in a mail.
    with refused("InvalidParameter", "Invalid parameter: DisplayName Reason: it has a control character"):
        client.set_topic_attributes(
            TopicArn=arn, AttributeName="DisplayName", AttributeValue="x\nBcc: a@b.de"
        )


def test_a_login_that_fails_says_nothing_of_it(mailing: Mailing, tmp_path: Path) -> None:
    assert PASSWORD not in mailing.aws.server.log
