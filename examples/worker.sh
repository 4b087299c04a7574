#!/bin/sh
# What an application asks of the worker, with curl:  worker.sh PICTURE LINK
# With --retry curl waits as long as Retry-After says; what is the picture's fault (4xx) it does not repeat.
set -eu
worker=${REMOTE_WORKER_URL:-http://127.0.0.1:5000}
picture=$1 link=$2
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

ask() { # curl's arguments...: the body goes to $answer, a failure to standard error
  status=$(curl -sS --retry 4 --max-time 60 -o "$answer" -w '%{http_code}' \
    ${REMOTE_WORKER_KEY:+-H "Authorization: Bearer $REMOTE_WORKER_KEY"} "$@")
  [ "$status" = 200 ] || { echo "HTTP status $status: $(member message)" >&2; return 1; }
}

member() { # name: a text out of the JSON in $answer
  sed -n 's/.*"'"$1"'": "\(\([^"\\]\|\\.\)*\)".*/\1/p' "$answer"
}

# Six avatars at once, as JSON with base64.
ask -F "file=@$picture" "$worker/images/rescale_avatar"
sed -n 's/.*"avatar73": {"body": "\([^"]*\)".*/\1/p' "$answer" | base64 -d >avatar73.png

# The bytes of one picture.
ask -H 'Accept: image/*' -F "file=@$picture" "$worker/images/fit/800?format=webp"
cp "$answer" small.webp

# What a link leads to.
ask -G --data-urlencode "url=$link" "$worker/links/preview"
echo "title: $(member title)"

# Markdown as HTML that is safe to show. JSON escapes its line break as \n, which printf writes.
ask -H 'Content-Type: application/json' -d '{"text": "**Hello**"}' "$worker/text/render_markdown"
echo "html: $(printf '%b' "$(member output)")"

# A failure has a code: compare that, never the message.
if ! printf 'no picture' | ask -F 'file=@-;filename=x' "$worker/images/info"; then
  echo "refused: $(member code)"
fi
