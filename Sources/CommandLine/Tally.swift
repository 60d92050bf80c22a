import ArgumentParser

@main
struct Tally: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tally", abstract: "Volunteer computing for open language models.")
}
