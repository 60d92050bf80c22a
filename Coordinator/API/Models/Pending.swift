struct ChatTemplate: Sendable {
  init(_ source: String) throws {}

  func render(messages: [ChatMessage], specialTokens: [String: String]) throws -> String {
    messages.map { "<|im_start|>\($0.role)\n\($0.content)<|im_end|>\n" }.joined()
      + "<|im_start|>assistant\n"
  }
}
