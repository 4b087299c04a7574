"""Links that work once are told from ordinary ones by their URL."""

import pytest

from remote_worker.service.one_time import is_one_time

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
HASH = "5ebb27b4c0ff1a2d3e4f5a6b7c8d9e0f1a2b3c4d"


@pytest.mark.parametrize(
    "path",
    [
        "/verify?token=abc123",
        "/verify?token=abc",
        "/magic/abc123",
        "/magic/abc",
        "/magic-link/xyz",
        "/auth/magiclogin/abc",
        "/unsubscribe/123",
        "/unsubscribe/someone@example.com",
        "/unsubscribe?u=5&list=2",
        "/users/confirmation?confirmation_token=k3J9xPq2",
        "/reset-password/9f8a7b6c5d4e3f2a1b0c",
        f"/password/reset/{UUID}",
        "/account/verify-email?code=483920",
        "/verify/483920",
        "/login?magic_link=Zm9vYmFyYmF6",
        "/auth/callback?code=4%2F0AX4XfWh&state=xyz",
        "/__/auth/action?mode=resetPassword&oobCode=ABC123def456",
        f"/a?next={JWT}",
        f"/a/{JWT}",
        f"/invitations/{HASH}/accept",
        "/optout/8fK2mQ9xLp4RtY7v",
        "/email/opt-out?id=77",
        "/newsletter?unsubscribe=1",
        "/activate?key=8f14e45fceea",
        "/session/otp/493021",
        "/verify?token=bitcoin",
        "/login?token=WETH4x9Q",
        "/login?token=abcdefghijklm",
        f"/confirm/{HASH}/commit",
        "/?state=CA&code=4%2F0AX4XfWh",
        "/oauth/callback?state=CA&code=94103",
        "/wp-login.php?action=rp&key=Zk3x9QmTb2LpVw8n&login=ann",
        f"/session/email-login/{HASH}",
        "/double-opt-in?c=8f14e45f",
        f"/double-opt-in/{HASH}",
        f"/{HASH}/unsubscribe",
        "/app?ticket=ST-1856339-aA5Yuvrxzpv8Tau1cYQ7",
        f"/register/complete/{HASH}",
        f"/approve/{HASH}",
        f"/email_change/{HASH}",
    ],
)
def test_a_link_that_works_once_is_seen(path: str) -> None:
    assert is_one_time(f"https://h.example.org{path}")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/watch?v=dQw4w9WgXcQ&list=PLrAXtmErZgOeiKm4sgNOknGvNjby9efdf",
        f"/owner/name/commit/{HASH}",
        f"/articles/{UUID}",
        "/story?utm_source=newsletter&utm_campaign=verify_2026_q4_launch",
        "/list?page=3&pageToken=CAUQAA",
        "/list?next_page_token=CAUQAAabcdef1234567",
        "/blog/how-to-verify-a-jwt-token-in-python",
        "/questions/28391023/how-to-reset-a-password?answertab=votes",
        "/wiki/Unsubscribe",
        "/docs/unsubscribe?utm_source=x",
        "/help/confirm-your-address",
        "/magic/the-gathering",
        "/magic/cards/abc",
        "/r/magic/top",
        "/magic-links/",
        "/swap?token=ETH",
        "/help/unsubscribe/newsletters",
        "/reset-css/v2.0",
        "/verify",
        "/search?q=token",
        "/verify?page=2",
        "/invite/hypixel",
        "/reset?filter=all",
        "/token/0x6b175474e89094c44da98b954eedeac495271d0f",
        "/p/B8xyz12AbCd/?igshid=1a2b3c4d5e6f",
        "/status/1234567890123456789",
        "/maps/@52.5200,13.4050,15z",
        "/article?code=200&stated=1",
        "/swap?token=WETH",
        "/swap?token=USDC",
        "/price?token=bitcoin",
        f"/org/otp/commit/{HASH}",
        f"/org/otp/blob/{HASH}/README.md",
        f"/org/otp/tree/{HASH}",
        f"/org/otp/raw/{HASH}/a.py",
        f"/org/otp/commits/{HASH}",
        f"/org/name/commit/{HASH}/unsubscribe",
        "/shops?state=CA&code=94103",
        "/wp-login.php?action=lostpassword",
        "/list?action=view&key=8f14e45fceea",
        "/session/email-login/help",
        "/double-opt-in?topic=mail",
        "/blog/double-opt-in-for-letters?c=8f14e45f",
        "/news/unsubscribe",
        "/events?ticket=1234567",
        "/register/complete/guide",
        "/approve/1234",
        "/email_change/faq",
    ],
)
def test_an_ordinary_link_is_not(path: str) -> None:
    assert not is_one_time(f"https://h.example.org{path}")
