"""Never ends by itself."""

from family import arguments, hang_with_family

args = arguments()
hang_with_family(args.notes, args.out)
