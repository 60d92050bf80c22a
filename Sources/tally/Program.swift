import Commands

/// The program `tally`. All that it does is in `Commands`.
@main
enum Program {
  static func main() async {
    await Tally.main()
  }
}
