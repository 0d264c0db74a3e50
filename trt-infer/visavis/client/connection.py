# SPDX-License-Identifier: Apache-2.0
"""A connection to the broker that comes back by itself: the only file of the package that imports paho."""

from __future__ import annotations

import logging
import queue
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from visavis.addresses import MQTT_PORTS, host_of, in_brackets
from visavis.errors import VisavisError
from visavis.secret_files import NoSecret, secret_in, shown

QUEUE_MESSAGES_MAX = 1_000
WAIT_S = 0.2
# The longest pause between two tries to reach a broker that is away; paho's own is two minutes.
RECONNECT_MOST_S = 10
WEBSOCKET_PATH = "/mqtt"
# Reasons of MQTT 5 that no other try mends, each with what does; paho gives those of MQTT 3.1.1 the same numbers.
LOGIN = "check user and password"
REFUSALS = {
    132: "choose a broker that speaks MQTT 3.1.1",
    133: "choose another name for the session",
    134: LOGIN,
    135: LOGIN,
}
# What a message to a broker has room for, bytes.
MOST_CARRIED = 65_535
CARRIED = f"give UTF-8 of at most {MOST_CARRIED} bytes, without U+0000"
# What of a Broker has no use without what else of it: it would be forgotten, and a password leave in clear.
NEEDS = (
    ("password_file", "user"),
    ("cert", "key"),
    ("key", "cert"),
    ("ca", "tls"),
    ("cert", "tls"),
    ("key", "tls"),
)

log = logging.getLogger(__name__)


class BrokerUnreachable(VisavisError):
    """Nothing that speaks MQTT answers at the address."""

    kind = "broker_unreachable"


class BrokerRefused(VisavisError):
    """The broker does not want this client."""

    kind = "broker_refused"


class Silent(VisavisError):
    """Nothing came for as long as the reader was ready to wait."""

    kind = "silent"


class Unfit(ValueError):
    """An attribute of a Broker cannot be what it is.

    Attributes:
        name: which one.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} {why}")
        self.name = name


class Useless(Unfit):
    """It has no use without another one.

    Attributes:
        needs: the other one.
    """

    def __init__(self, name: str, needs: str) -> None:
        with_tls = ": begin the address with mqtts:// or wss://" if needs == "tls" else ""
        super().__init__(name, f"has no use without {needs}{with_tls}")
        self.needs = needs


class Uncarried(Unfit):
    """MQTT has no form for it."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"is nothing that MQTT can carry: {CARRIED}")


class Broker(msgspec.Struct, frozen=True):
    """Where the broker is, and who we are there.

    Attributes:
        host: name or address.
        port: 1883 for plain MQTT, usually 8883 with TLS.
        user: empty for a broker that takes everybody.
        password_file: holds the password of `user` and nothing else.
        tls: whether to speak TLS.
        ca: certificates that may sign the broker's; the system's when None.
        cert: our own certificate, for a broker that asks for one; `key` is its key.
        websocket: whether MQTT goes through a WebSocket.
        path: of the WebSocket.

    Raises:
        Unfit: one of them has no use without another, as `ca` without `tls`, or is nothing that MQTT can carry.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    user: str = ""
    password_file: Path | None = None
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    websocket: bool = False
    path: str = WEBSOCKET_PATH

    def __post_init__(self) -> None:
        """Refuse what would only be forgotten, and what could not be said."""
        if not _carried(self.user):
            raise Uncarried("user")
        for name, needs in NEEDS:
            if getattr(self, name) and not getattr(self, needs):
                raise Useless(name, needs)

    @property
    def where(self) -> str:
        """For sentences: `host:port`."""
        return f"{in_brackets(self.host)}:{self.port}"


def broker_at(address: str, port: int | None = None, **more: Any) -> Broker:
    """The broker at `host`, `host:port` or a URL (mqtt, mqtts, ws, wss); `port` wins over the URL's.

    Args:
        more: the other attributes of Broker.

    Raises:
        ValueError: not such an address, or an attribute has no use at it.
    """
    url = urlsplit(address if "://" in address else f"mqtt://{in_brackets(address)}")
    if url.scheme not in MQTT_PORTS or not url.hostname or "@" in url.netloc:
        raise ValueError(
            f"{address} is not an address: write a host, or mqtt://host:port; user and password go elsewhere"
        )
    tls, websocket = url.scheme in ("mqtts", "wss"), url.scheme in ("ws", "wss")
    if (url.query or url.fragment) and not websocket:
        raise ValueError(f"{address} ends with what only ws:// and wss:// have: leave out all from ? or # on")
    at = next(one for one in (port, url.port, MQTT_PORTS[url.scheme]) if one is not None)
    if at == 0:
        raise ValueError(f"{address}: nothing answers at port 0: write one from 1 to 65535, or none")
    path = (url.path or WEBSOCKET_PATH) + (f"?{url.query}" if url.query else "")
    return Broker(host_of(url), at, tls=tls, websocket=websocket, path=path, **more)


class Message(msgspec.Struct, frozen=True):
    """One message as it came.

    Attributes:
        topic: where it was published.
        payload: what it holds.
        retained: whether the broker had kept it from before.
        receipt: what `Link.acknowledge` needs.
    """

    topic: str
    payload: bytes
    retained: bool = False
    receipt: tuple[int, int, int] = (0, 0, 0)


Take = Callable[[Message], None]


class Link:
    """One connection, open inside a `with` block; asks for its topics anew whenever the broker comes back.

    Args:
        broker: where.
        topics: what to subscribe to, each with its QoS.
        take: called with each message, in paho's thread; it must not wait and not raise.
        session: a name under which the broker keeps what comes with QoS 1 while we are away; "" for nothing kept.
        confirm: whether `acknowledge` must be called for each message; the broker holds back the next ones until then.

    Raises:
        BrokerUnreachable: on entry, when nothing answers.
    """

    def __init__(
        self,
        broker: Broker,
        topics: Mapping[str, int],
        take: Take,
        session: str = "",
        confirm: bool = False,
    ) -> None:
        self._broker, self._topics, self._take, self._session = broker, topics, take, session
        self._given_up: set[str] = set()
        self._refusal: tuple[str, str] | None = None
        self._put_off = ""  # why the broker, which is asked again, did not let us in
        self._known = False  # it has let us in before
        self._connection = 0  # counts them: a receipt holds for the one on which its message came
        self._acknowledging = threading.Lock()
        self._subscribed = threading.Event()
        self._subscribed_s = 0.0  # when the broker answered the first subscription
        self._told_s = 0.0  # and when that of this connection; 0 until it has
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=session,
            clean_session=not session,
            transport="websockets" if broker.websocket else "tcp",
            manual_ack=confirm,
        )
        self._client.on_connect, self._client.on_message = self._on_connect, self._on_message
        self._client.on_subscribe, self._client.on_disconnect = self._on_subscribe, self._on_disconnect
        self._client.reconnect_delay_set(max_delay=RECONNECT_MOST_S)

    def __enter__(self) -> Link:
        """Connect; the subscriptions stand a moment later."""
        _identify(self._client, self._broker)
        try:
            self._client.connect(self._broker.host, self._broker.port)
        except (OSError, UnicodeError, paho.WebsocketConnectionError) as error:  # a host may be no name at all
            why = getattr(error, "strerror", None) or error
            raise BrokerUnreachable(
                f"no broker answers at {self._broker.where}, {why}", "is it running, is the port right?"
            ) from error
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def check(self) -> None:
        """Raise what the broker said against us.

        Raises:
            BrokerRefused: it wants another user, password or session, or lets this one hear nothing.
        """
        if self._refusal:
            reason, remedy = self._refusal
            raise BrokerRefused(f"the broker at {self._broker.where} refuses us, {reason}", remedy)

    def wait_subscribed(self, timeout_s: float) -> None:
        """Return when the broker sends what we asked for.

        Raises:
            BrokerRefused: it does not want us.
            Silent: it did not answer in time.
        """
        end_s = monotonic() + timeout_s
        while not self._subscribed.wait(WAIT_S):
            self.check()
            if monotonic() > end_s:
                raise self._no_answer(timeout_s)
        self.check()

    def check_silence(self, heard_s: float, silence_s: float) -> None:
        """Raise when nothing came for too long: nothing can come before the broker has answered the first subscription.

        Args:
            heard_s: when the last message came, or when somebody began to wait for the first.
            silence_s: how long is too long, for that answer and for a message.

        Raises:
            Silent: it did not answer in time, or nothing came since.
        """
        if monotonic() - max(heard_s, self._subscribed_s) <= silence_s:
            return
        if not self._subscribed.is_set():
            raise self._no_answer(silence_s)
        raise Silent(f"nothing came for {silence_s:g} s", "is the device on, and is the name right?")

    def _no_answer(self, limit_s: float) -> Silent:
        within = f" within {limit_s:g} s" if limit_s else ""
        return Silent(
            f"the broker at {self._broker.where} answers no subscription{within}",
            "is this the port of an MQTT broker, and does it want TLS (mqtts://)?",
        )

    def told_again_s(self) -> float:
        """How long ago the broker began to tell anew what it keeps; 0 while it has not."""
        told_s = self._told_s
        return monotonic() - told_s if told_s else 0.0

    @property
    def connection(self) -> int:
        """The number of the connection, which rises with each."""
        return self._connection

    def publish(self, topic: str, payload: str) -> None:
        """Send one message with QoS 1, not retained."""
        self._client.publish(topic, payload, qos=1)

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that it may forget the message. Only with `confirm`.

        One from a connection that has ended is left out: the broker sends it again, perhaps under another number.
        """
        connection, number, qos = message.receipt
        with self._acknowledging:
            if connection == self._connection:
                self._client.ack(number, qos)

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._refusal = None
        if reason.is_failure:
            self._turned_away(reason)
            return
        self._put_off, self._known = "", True
        if self._topics:
            client.subscribe([(topic, qos) for topic, qos in self._topics.items()])

    def _on_disconnect(self, *_: Any) -> None:
        """End all receipts before paho connects again, which drops what it had not sent yet."""
        self._told_s = 0.0  # first: nothing is told anew over the next connection yet
        with self._acknowledging:
            self._connection += 1

    def _turned_away(self, reason: Any) -> None:
        """Give up where only a person can help; a broker that starts, or has too much to do, paho asks again.

        One that knew us too: it may not have read its passwords yet, and its update must not end who reads for months.
        """
        remedy = REFUSALS.get(reason.value)
        if remedy and not self._known:
            self._refusal = (str(reason), remedy)
        elif self._put_off != str(reason):
            self._put_off = str(reason)
            again = f"it is asked again; {remedy}" if remedy else "it is asked again"
            log.warning("the broker at %s does not let us in yet, %s; %s", self._broker.where, reason, again)

    def _on_subscribe(self, _client: paho.Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        forbidden = [topic for topic, reason in zip(self._topics, reasons, strict=False) if reason.is_failure]
        if forbidden:
            sentence, remedy = f"it does not let us subscribe to {', '.join(forbidden)}", "allow it in its access list"
            if len(forbidden) == len(self._topics):
                self._refusal = (sentence, remedy)
            else:
                log.warning("the broker at %s: %s: %s", self._broker.where, sentence, remedy)
        self._told_s = monotonic()
        self._subscribed_s = self._subscribed_s or self._told_s
        self._subscribed.set()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        receipt = (self._connection, message.mid, message.qos)
        one = Message(message.topic, bytes(message.payload), message.retain, receipt)
        if self._session and not any(paho.topic_matches_sub(asked, one.topic) for asked in self._topics):
            self._give_up(one)
        else:
            self._take(one)

    def _give_up(self, message: Message) -> None:
        """Let go of what a session was asked for in another run: the broker keeps its subscriptions, and tells none."""
        self.acknowledge(message)
        asked_then = {message.topic, *(_wider(message.topic, asked) for asked in self._topics)} - self._given_up
        if asked_then:
            self._given_up |= asked_then
            self._client.unsubscribe(list(asked_then))


class Inbox:
    """What paho's thread puts in and the reader's thread takes out.

    Args:
        most: messages that wait; the oldest gives way to one more. 0 for a link on which the broker itself holds back.
    """

    def __init__(self, most: int = QUEUE_MESSAGES_MAX) -> None:
        self._messages: queue.Queue[Message] = queue.Queue(most)

    def take(self, message: Message) -> None:
        """Put one in; never waits."""
        if self._messages.full():
            with suppress(queue.Empty):  # the reader was faster
                self._messages.get_nowait()
        self._messages.put_nowait(message)

    def read(self, link: Link, stop: threading.Event, silence_s: float | None) -> Iterator[Message]:
        """Yield what comes until `stop` is set.

        Raises:
            BrokerRefused: the broker does not want us.
            Silent: nothing came for `silence_s`, or the broker took longer than that to answer.
        """
        heard_s = monotonic()
        while not stop.is_set():
            link.check()
            try:
                yield self._messages.get(timeout=WAIT_S)
                heard_s = monotonic()
            except queue.Empty:
                if silence_s is not None:
                    link.check_silence(heard_s, silence_s)


def _wider(topic: str, asked: str) -> str:
    """The topic with "+" at each level where it differs from the one that is asked for now."""
    levels, wanted = topic.split("/"), asked.split("/")
    return "/".join(
        level if index < len(wanted) and level == wanted[index] else "+" for index, level in enumerate(levels)
    )


def _identify(client: paho.Client, broker: Broker) -> None:
    if broker.tls:
        client.tls_set_context(_trust(broker))
    if broker.websocket:
        client.ws_set_options(broker.path)
    if broker.user:
        client.username_pw_set(broker.user, _password(broker.password_file))


def _trust(broker: Broker) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(broker.ca) if broker.ca else None)
    except OSError as error:  # of which ssl.SSLError is one
        raise BrokerRefused(f"cannot read the certificates in {broker.ca}, {error.strerror or error}") from error
    if broker.cert:
        try:
            context.load_cert_chain(broker.cert, broker.key)
        except OSError as error:
            sentence = f"cannot use the certificate in {broker.cert} with its key, {error.strerror or error}"
            raise BrokerRefused(sentence) from error
    return context


def _carried(text: str) -> bool:
    """Whether MQTT has a form for it; bytes of a command line that are no UTF-8 are lone surrogates here."""
    try:
        return len(text.encode()) <= MOST_CARRIED and "\0" not in text
    except UnicodeEncodeError:
        return False


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        password = secret_in(file.read_bytes())
    except OSError as error:
        name, remedy = shown(file)
        raise BrokerRefused(f"cannot read the password in {name}, {error.strerror}", remedy) from error
    except NoSecret as error:
        raise BrokerRefused(f"the password in {file} {error.sentence}", error.remedy) from error
    if not _carried(password):
        raise BrokerRefused(f"the password in {file} is nothing that MQTT can carry", CARRIED)
    return password
