<?php
// What an application asks of the worker, with PHP's curl: php worker.php PICTURE LINK
declare(strict_types=1);

final class WorkerError extends RuntimeException
{
    public function __construct(public readonly string $workerCode, string $message)
    {
        parent::__construct($message);
    }
}

function ask(string $path, array|string|null $body = null, array $headers = []): string
{
    $worker = getenv('REMOTE_WORKER_URL') ?: 'http://127.0.0.1:5000';
    if ($key = getenv('REMOTE_WORKER_KEY')) {
        $headers[] = "Authorization: Bearer $key";
    }
    for ($tries = 1;; $tries++) {
        $wait = 1;
        $curl = curl_init($worker . $path);
        curl_setopt_array($curl, [
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 60,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$wait): int {
                if (preg_match('/^retry-after:\s*(\d+)/i', $line, $found)) {
                    $wait = (int) $found[1];
                }
                return strlen($line);
            },
        ]);
        if ($body !== null) {
            curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
        }
        $answer = curl_exec($curl);
        if ($answer === false) {
            throw new RuntimeException(curl_error($curl));
        }
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        if ($status === 200) {
            return $answer;
        }
        if (!in_array($status, [429, 503], true) || $tries === 4) {
            $told = json_decode($answer, true) ?? [];
            throw new WorkerError($told['code'] ?? 'no_code', $told['message'] ?? "HTTP status $status");
        }
        sleep($wait);
    }
}

function told(string $answer): array
{
    return json_decode($answer, true, flags: JSON_THROW_ON_ERROR);
}

[, $picture, $link] = $argv;

// Six avatars at once, as JSON with base64. curl reads the file while it sends it.
$avatars = told(ask('/images/rescale_avatar', ['file' => new CURLFile($picture)]));
file_put_contents('avatar73.png', base64_decode($avatars['avatar73']['body']));

// The bytes of one picture.
$small = ask('/images/fit/800?format=webp', ['file' => new CURLFile($picture)], ['Accept: image/*']);
file_put_contents('small.webp', $small);

// What a link leads to.
$card = told(ask('/links/preview?' . http_build_query(['url' => $link])));
echo "title: {$card['title']}\n";

// Markdown as HTML that is safe to show.
$text = json_encode(['text' => '**Hello**']);
$rendered = told(ask('/text/render_markdown', $text, ['Content-Type: application/json']));
echo 'html: ' . trim($rendered['output']) . "\n";

// A failure has a code: compare that, never the message.
try {
    ask('/images/info', ['file' => new CURLStringFile('no picture', 'picture')]);
} catch (WorkerError $error) {
    echo "refused: $error->workerCode\n";
}
