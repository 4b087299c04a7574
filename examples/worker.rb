# What an application asks of the worker, with Ruby's standard library: ruby worker.rb PICTURE LINK
require "json"
require "net/http"
require "stringio"

WORKER = URI(ENV.fetch("REMOTE_WORKER_URL", "http://127.0.0.1:5000"))

class WorkerError < StandardError
  attr_reader :code

  def initialize(code, message)
    super(message)
    @code = code
  end
end

# The block makes the request, anew for each try, because a file is read while it is sent.
def ask(tries: 4)
  request = yield
  request["Authorization"] = "Bearer #{ENV["REMOTE_WORKER_KEY"]}" if ENV["REMOTE_WORKER_KEY"]
  options = { use_ssl: WORKER.scheme == "https", read_timeout: 60 }
  response = Net::HTTP.start(WORKER.host, WORKER.port, **options) { |http| http.request(request) }
  return response.body if response.code == "200"

  if %w[429 503].include?(response.code) && tries > 1
    sleep((response["Retry-After"] || 1).to_i)
    return ask(tries: tries - 1) { yield }
  end
  told = begin
    JSON.parse(response.body)
  rescue JSON::ParserError
    {} # Of a proxy in front, perhaps.
  end
  raise WorkerError.new(told["code"] || "no_code", told["message"] || "HTTP status #{response.code}")
end

def upload(path, data, accept = "application/json")
  ask do
    request = Net::HTTP::Post.new(path, "Accept" => accept)
    request.set_form([["file", StringIO.new(data), { filename: "picture" }]], "multipart/form-data")
    request
  end
end

picture, link = ARGV
data = File.binread(picture)

# Six avatars at once, as JSON with base64.
avatars = JSON.parse(upload("/images/rescale_avatar", data))
File.binwrite("avatar73.png", avatars["avatar73"]["body"].unpack1("m"))

# The bytes of one picture.
File.binwrite("small.webp", upload("/images/fit/800?format=webp", data, "image/*"))

# What a link leads to.
card = JSON.parse(ask { Net::HTTP::Get.new("/links/preview?#{URI.encode_www_form(url: link)}") })
puts "title: #{card["title"]}"

# Markdown as HTML that is safe to show.
rendered = ask do
  request = Net::HTTP::Post.new("/text/render_markdown", "Content-Type" => "application/json")
  request.body = JSON.generate(text: "**Hello**")
  request
end
puts "html: #{JSON.parse(rendered)["output"].strip}"

# A failure has a code: compare that, never the message.
begin
  upload("/images/info", "no picture")
rescue WorkerError => error
  puts "refused: #{error.code}"
end
