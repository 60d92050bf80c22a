import ArgumentParser
import Foundation

/// For programs that start this one and must not leave it behind.
struct ParentOptions: ParsableArguments {
  @Flag(
    help: ArgumentHelp(
      """
      Stop when standard input closes, as it does when the program that started this one ends, \
      however it ends.
      """,
      visibility: .hidden))
  var untilStdinCloses = false

  /// Asks for a graceful stop once nothing holds the other end of standard input.
  func watch() {
    guard untilStdinCloses else { return }
    let thread = Thread {
      var byte: UInt8 = 0
      while true {
        let count = read(STDIN_FILENO, &byte, 1)
        if count == 0 || (count < 0 && errno != EINTR) { break }
      }
      kill(getpid(), SIGTERM)
      // Whoever waited for this has gone: nobody is left to insist.
      sleep(20)
      kill(getpid(), SIGKILL)
    }
    thread.name = "parent watch"
    thread.start()
  }
}
