import APIObjects
import ArgumentParser
import Foundation

/// What is said and written when a batch has ended.
struct BatchReport {
  let client: APIClient

  /// Writes the answers, says what was verified, and fails when the batch did.
  ///
  /// - Throws: `ExitCode.nothingAnswered` when every request failed.
  func conclude(_ progress: ProgressObject, output: String?) async throws {
    let batch = progress.batch
    let terminal = Terminal.error
    if batch.status == "failed" {
      for failure in batch.failures { terminal.line(failure) }
      throw CommandError("the batch failed: no line of it was run")
    }
    terminal.line(progress.verificationSummary)
    if let output {
      if let id = batch.outputFileID { try await write(file: id, to: output) }
      if let id = batch.errorFileID { try await write(file: id, to: output + ".errors") }
      if batch.outputFileID == nil { terminal.line("There are no answers to write.") }
    }
    let failed = batch.requestCounts.failed
    let isAnswered = batch.requestCounts.completed > 0
    if failed > 0 {
      let total = Spelled.count(batch.requestCounts.total)
      terminal.line(
        terminal.styled(
          (isAnswered
            ? "\(Spelled.count(failed)) of \(total) requests failed; "
            : "all \(total) requests failed; ")
            + (output.map { "see \($0).errors" } ?? "see: tally results \(batch.id) --errors"),
          .yellow))
    }
    if batch.status != "completed" {
      throw CommandError("the batch is \(batch.status); finished lines are delivered")
    }
    if failed > 0, !isAnswered { throw ExitCode.nothingAnswered }
  }

  /// Writes beside the path and renames, so that a file under that name is always whole. "-" is
  /// standard output.
  func write(file id: String, to path: String) async throws {
    if path == "-" {
      _ = try await client.download(file: id, to: .standardOutput)
      return
    }
    let partial = path + ".partial"
    guard FileManager.default.createFile(atPath: partial, contents: nil),
      let handle = FileHandle(forWritingAtPath: partial)
    else { throw CommandError("cannot write \(partial)") }
    let size: Int
    do {
      size = try await client.download(file: id, to: handle)
      try handle.synchronize()
      try handle.close()
    } catch {
      try? FileManager.default.removeItem(atPath: partial)
      throw error
    }
    guard rename(partial, path) == 0 else {
      throw CommandError("cannot write \(path): \(String(cString: strerror(errno)))")
    }
    Terminal.error.line("\(path): \(Spelled.bytes(size))")
  }
}
