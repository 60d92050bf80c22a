import CoordinatorCore

/// Turns prompts into tokens of one model.
package protocol PromptEncoder: Sendable {
  /// Tokens of prompt and answer together, at most.
  var contextLength: Int { get }
  /// Token ids are below this.
  var vocabularySize: Int { get }
  /// One token sequence for each prompt.
  ///
  /// - Throws: `PromptRefusal`.
  func tokens(of prompt: GenerationPrompt) throws -> [[Int32]]
}

/// Why one request cannot be run, though nothing is wrong with the batch.
package struct PromptRefusal: Error, Hashable, Sendable {
  package var failure: RequestFailure

  package init(_ code: String, _ message: String, param: String?) {
    failure = RequestFailure(statusCode: 400, code: code, message: message, param: param)
  }
}
