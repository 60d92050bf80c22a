import ModelFormats

/// The body of `POST /v1/batches`.
struct BatchCreation: Encodable, Sendable {
  let input_file_id: String
  let endpoint: String
  let completion_window: String
  let metadata: ExactDictionary<String>
}
