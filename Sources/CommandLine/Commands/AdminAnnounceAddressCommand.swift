import ArgumentParser
import CoordinatorCore
import CoordinatorStore
import Foundation

/// Tells workers where the coordinator will be.
struct AdminAnnounceAddressCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "announce-address",
    abstract: "Tell workers the address to which the coordinator will move.",
    discussion: """
      Workers learn it when they ask for work the next time, remember it over restarts, and try it \
      every few minutes. Each takes it up once this coordinator's authority (ca.pem) answers there \
      and knows the worker; until then it stays with the old address. So: announce some days \
      ahead, stop the coordinator, start it on the moved data folder at the new address (--host \
      names it in the certificate). Workers that were away meanwhile follow with `tally worker \
      move`.

      EXAMPLES:
        tally admin announce-address https://tally.example.org
        tally admin announce-address --clear
      """)

  @Argument(help: "https://HOST:PORT.")
  var url: String?

  @Flag(help: "Announce nothing any more.")
  var clear = false

  @OptionGroup var data: DataOptions

  func validate() throws {
    guard (url == nil) == clear else { throw ValidationError("give an address or --clear") }
    if let url {
      guard url.hasPrefix("https://"), url.utf8.count <= 1000, URL(string: url)?.host() != nil
      else {
        throw ValidationError("an address is https://HOST:PORT")
      }
    }
  }

  func run() async throws {
    try await data.open().store.setNextAddress(url)
    Terminal.output.line(
      url.map { "workers are told that the coordinator moves to \($0)" }
        ?? "no address is announced")
  }
}
