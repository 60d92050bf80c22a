import ArgumentParser
import Foundation
import WorkerDaemon

/// Ends a machine's work for a coordinator for good.
struct WorkerLeaveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "leave",
    abstract: "Leave the coordinator: finish what is held, then remove the worker's folder.",
    discussion: """
      A running worker finishes its units first, delivers its results and ends; then its key, its \
      certificate, its preferences and the downloaded models are removed. What it contributed \
      stays with the account. With --now it is stopped within its grace period and undelivered \
      results are lost.

      EXAMPLES:
        tally worker leave
        sudo tally worker leave
        tally worker leave --now --yes
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Flag(help: "Do not wait for units that are held and results that are not delivered.")
  var now = false

  @Flag(name: .shortAndLong, help: "Do not ask.")
  var yes = false

  func run() async throws {
    let path = folder.path
    let membership = try WorkerDaemon.membership(in: path)
    let place = membership.map {
      "\($0.record.workerID) of \($0.record.accountName) at \($0.record.url)"
    }
    guard try confirms(place ?? "a worker that has not joined", path) else { return }
    try await end(ControlSocket(dataFolder: path))
    let freed = try WorkerDaemon.remove(path, evenUndelivered: now)
    Terminal.output.line("left; \(Spelled.bytes(freed)) freed")
  }

  private func confirms(_ worker: String, _ path: String) throws -> Bool {
    if yes { return true }
    guard Terminal.error.isInteractive else {
      throw CommandError("this removes \(worker) and the folder \(path): say --yes")
    }
    return Terminal.error.confirms("Remove \(worker) and the folder \(path)?")
  }

  /// Lets a running worker end, and waits until it has.
  private func end(_ socket: ControlSocket) async throws {
    let service = SystemService("worker")
    let isService = folder.path == service.folder && service.isManaged
    if isService, now {
      // One that is asked to finish gives its units back when it is stopped.
      _ = try? await socket.finish()
      return try service.control("stop")
    }
    guard let status = try? await (now ? socket.status() : socket.finish()) else { return }
    if now {
      throw CommandError("a worker runs (\(status.summary)): stop it first, or leave out --now")
    }
    var last = ""
    // It stops answering a moment before it has ended.
    while WorkerDaemon.runs(in: folder.path) {
      if let status = try? await socket.status(), status.summary != last {
        Terminal.error.line(status.summary)
        last = status.summary
      }
      try await Task.sleep(for: .milliseconds(500))
    }
  }
}
