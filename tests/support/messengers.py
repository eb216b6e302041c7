"""Where notifications go: a mail server, a Matrix homeserver and a Slack workspace, simulated in this process."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.simulators import matrix, slack
from tests.simulators.serving import served
from tests.support.background import running
from tests.support.mail_server import PASSWORD, USER, mail_server

ROOM, CHANNEL, TOKEN, BOT = "!room:example.com", "C0PUBLIC", "syt_matrix_token", "xoxb-slack-token"
ENTRY = {"notificationType": "email", "notificationAddress": "denied@example.com"}


class Messengers:
    """All three, and the settings that name them."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.mail = stack.enter_context(running(mail_server(tls="starttls", sign_in=True)))
        self.matrix, self.slack = matrix.Matrix(TOKEN), slack.Slack(BOT)
        self.matrix.invited.add(ROOM)
        matrix_url = stack.enter_context(running(served(self.matrix.app)))
        slack_url = stack.enter_context(running(served(self.slack.app)))
        for name, text in (("ca.pem", self.mail.certificate), ("mail", PASSWORD), ("matrix", TOKEN), ("slack", BOT)):
            (folder / name).write_text(text)
        self.config = f"""
workers: {{docker: {{enabled: false}}}}
services:
  notify:
    email:
      host: 127.0.0.1
      port: {self.mail.port}
      certificates: "${{file:{folder}/ca.pem}}"
      user: {USER}
      password: "${{file:{folder}/mail}}"
      source: Taskcluster <tc@example.com>
    matrix: {{base_url: "{matrix_url}", access_token: "${{file:{folder}/matrix}}", user_id: "{matrix.ME}"}}
    slack: {{api_url: "{slack_url}/api/", access_token: "${{file:{folder}/slack}}"}}
"""

    def forget(self) -> Messengers:
        """Have nothing of what came before."""
        self.mail.mails.clear()
        self.mail.private.clear()
        for messages in (*self.matrix.rooms.values(), *self.slack.posted.values()):
            messages.clear()
        return self
