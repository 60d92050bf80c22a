import ArgumentParser

/// A failure that the person at the terminal can act on: one sentence, exit code 1.
struct CommandError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

extension ExitCode {
  /// A batch ended and none of its requests was answered.
  static let nothingAnswered = ExitCode(3)
}
