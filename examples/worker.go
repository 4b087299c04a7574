// What an application asks of the worker, with Go's standard library: go run worker.go PICTURE LINK
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// WorkerError is a failure with its code: compare that, never the message.
type WorkerError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *WorkerError) Error() string { return e.Code + ": " + e.Message }

var client = &http.Client{Timeout: 60 * time.Second}

func ask(method, path string, body []byte, headers map[string]string) ([]byte, error) {
	worker := os.Getenv("REMOTE_WORKER_URL")
	if worker == "" {
		worker = "http://127.0.0.1:5000"
	}
	for tries := 1; ; tries++ {
		request, err := http.NewRequest(method, worker+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		if key := os.Getenv("REMOTE_WORKER_KEY"); key != "" {
			request.Header.Set("Authorization", "Bearer "+key)
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return nil, err
		}
		if response.StatusCode == http.StatusOK {
			return answer, nil
		}
		isBusy := response.StatusCode == 429 || response.StatusCode == 503
		if !isBusy || tries == 4 {
			failed := &WorkerError{Code: "no_code", Message: response.Status}
			_ = json.Unmarshal(answer, failed) // Of a proxy in front, the answer may be no JSON.
			return nil, failed
		}
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			seconds = 1
		}
		time.Sleep(time.Duration(seconds) * time.Second)
	}
}

func upload(path string, picture []byte, accept string) ([]byte, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "picture")
	if err != nil {
		return nil, err
	}
	part.Write(picture) // Into memory: it cannot fail.
	form.Close()
	headers := map[string]string{"Content-Type": form.FormDataContentType(), "Accept": accept}
	return ask(http.MethodPost, path, body.Bytes(), headers)
}

// must keeps the example short; a server would pass errors on.
func must(answer []byte, err error) []byte {
	if err != nil {
		log.Fatal(err)
	}
	return answer
}

func read(answer []byte, into any) {
	if err := json.Unmarshal(answer, into); err != nil {
		log.Fatal(err)
	}
}

func main() {
	picture := must(os.ReadFile(os.Args[1]))

	// Six avatars at once, as JSON with base64.
	var avatars struct {
		Avatar73 struct{ Body []byte }
	}
	read(must(upload("/images/rescale_avatar", picture, "application/json")), &avatars)
	must(nil, os.WriteFile("avatar73.png", avatars.Avatar73.Body, 0o644))

	// The bytes of one picture.
	small := must(upload("/images/fit/800?format=webp", picture, "image/*"))
	must(nil, os.WriteFile("small.webp", small, 0o644))

	// What a link leads to.
	var card struct{ Title string }
	read(must(ask(http.MethodGet, "/links/preview?url="+url.QueryEscape(os.Args[2]), nil, nil)), &card)
	fmt.Println("title:", card.Title)

	// Markdown as HTML that is safe to show.
	var rendered struct{ Output string }
	text := []byte(`{"text": "**Hello**"}`)
	headers := map[string]string{"Content-Type": "application/json"}
	read(must(ask(http.MethodPost, "/text/render_markdown", text, headers)), &rendered)
	fmt.Println("html:", strings.TrimSpace(rendered.Output))

	var failed *WorkerError
	_, err := upload("/images/info", []byte("no picture"), "application/json")
	if errors.As(err, &failed) {
		fmt.Println("refused:", failed.Code)
	}
}
